"""The tree of errors is the table of exit codes."""

import pytest

from eyebright.core import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError, 2),
        (errors.DataError, 3),
        (errors.ImageError, 3),
        (errors.MissingExtraError, 4),
        (errors.ResourceError, 5),
        (errors.DivergedError, 5),
        (errors.ModelError, 6),
        (errors.QualityGateError, 7),
        (errors.InterruptedRunError, 130),
    ],
)
def test_each_error_has_the_exit_code_of_the_table(error, code):
    assert issubclass(error, errors.EyebrightError)
    assert error.exit_code == code


def test_a_missing_extra_answers_with_the_command_that_installs_it():
    assert "pip install 'eyebright[train]'" in str(errors.MissingExtraError.for_extra("train", "Training"))


def test_the_drawing_at_the_top_names_every_error():
    ours = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(name in errors.__doc__ for name in ours)
