"""``benchmark`` times every form that can run here, each in its own process, and says of the others why not."""

import json
import shutil
import sys

import pytest
import torch
from onnx import TensorProto, helper
from torch.utils.flop_counter import FlopCounterMode

import eyebright
from eyebright.backends import open as room
from eyebright.backends.torch_ import load_network
from eyebright.cli.main import main
from eyebright.core.bundle import read_bundle
from eyebright.core.errors import ModelError
from eyebright.verbs.benchmarking import asking
from eyebright.verbs.benchmarking.asking import Asked
from eyebright.verbs.benchmarking.roofline import Machine, Work, measure_machine, work_of


@pytest.fixture(scope="module")
def measured(finished):
    return eyebright.benchmark(finished.path, seconds=0.3, batch=4, threads=1)


def test_every_form_is_timed_the_quickest_first(measured):
    forms = {row.form: row for row in measured.forms}
    assert set(forms) == {"onnx", "openvino", "torch"}
    for row in forms.values():
        assert row.state == "ok"
        assert 0 < row.p50_ms <= row.p99_ms
        assert row.n >= 3  # one call a turn at least
        assert row.pictures_per_second > 0
        assert row.difference < 1e-3
    assert [row.p50_ms for row in measured.forms] == sorted(row.p50_ms for row in measured.forms)
    assert measured.exit_code == 0


def test_start_up_and_memory_are_each_form_s_own(measured):
    forms = {row.form: row for row in measured.forms}
    # torch alone takes longer to import than ONNX Runtime takes to answer, and some hundred MiB more.
    assert forms["onnx"].start_seconds < forms["torch"].start_seconds
    assert forms["onnx"].memory_mib + 50 < forms["torch"].memory_mib


def test_the_roof_is_below_every_form(measured):
    assert 0 < measured.roof.arithmetic_ms < measured.forms[0].p50_ms


def test_the_operations_are_those_that_torch_counts(finished):
    bundle = read_bundle(finished.path)
    manifest = bundle.manifest
    network = load_network(bundle.form_file("torch"), manifest.architecture, len(manifest.classes)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *manifest.preprocess.size))
    assert work_of(bundle.form_file("onnx")).operations == counter.get_total_flops()


def test_operations_of_a_convolution_in_groups_and_of_a_product(tmp_path):
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["maps"], group=2, pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
    ]
    constants = [
        helper.make_tensor("kernel", TensorProto.FLOAT, [4, 1, 3, 3], [0.0] * 36),
        helper.make_tensor("matrix", TensorProto.FLOAT, [4 * 5 * 6, 3], [0.0] * 360),
    ]
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    taken = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 2, 5, 6])
    model = helper.make_model(helper.make_graph(nodes, "toy", [taken], [given], constants))
    (tmp_path / "toy.onnx").write_bytes(model.SerializeToString())
    found = work_of(tmp_path / "toy.onnx")
    # 5 x 6 places, 4 filters of 9 weights each; then 120 values for each of 3 logits.
    assert found.operations == 2 * 30 * 4 * 9 + 2 * 120 * 3
    assert 4 * (36 + 360) <= found.weight_bytes <= 4 * (36 + 360) + 100  # names and shapes are in it


def test_the_roof_is_work_over_rate():
    machine, work = Machine(operations=1e9, bytes=1e8), Work(operations=2_000_000, weight_bytes=3_000_000)
    assert (machine.arithmetic_seconds(work), machine.reading_seconds(work)) == (0.002, 0.03)


def test_the_processor_s_rates_are_plausible():
    machine = measure_machine(1)
    assert 1e9 < machine.operations < 1e13
    assert 1e8 < machine.bytes < 1e12


def test_a_broken_form_is_told_and_the_others_are_timed_all_the_same(finished, tmp_path):
    bundle = shutil.copytree(finished.bundle, tmp_path / "bundle")
    (bundle / "torch.safetensors").write_bytes(b"nothing")
    found = eyebright.benchmark(bundle, seconds=0.1, forms=("onnx", "torch"))
    assert [(row.form, row.state) for row in found.forms] == [("onnx", "ok"), ("torch", "failed")]
    assert "sha256" in found.forms[1].reason
    assert found.exit_code == 6


def test_a_form_whose_answers_are_not_the_golden_ones_fails(finished, tmp_path):
    bundle = shutil.copytree(finished.bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    manifest["probe"][0]["logits"][0] += 1.0
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match="not the model that was measured"):
        Asked(bundle, "onnx", 1)


def test_a_form_whose_package_is_missing_is_listed_with_the_command(finished, monkeypatch):
    monkeypatch.setattr(room, "_installed", lambda form: form == "onnx")
    found = eyebright.benchmark(finished.path, seconds=0.1)
    missing = {row.form: row.reason for row in found.forms if row.state == "missing"}
    assert set(missing) == {"openvino", "torch"}
    assert "eyebright[openvino]" in missing["openvino"]
    assert found.exit_code == 0


def test_a_form_that_the_bundle_does_not_have_is_refused(finished):
    with pytest.raises(ModelError, match=r"no form 'litert'; it can be asked as onnx, openvino, torch"):
        eyebright.benchmark(finished.path, forms=("litert",))


def test_a_process_that_dies_is_told(finished, monkeypatch):
    monkeypatch.setattr(asking, "CHILD", "eyebright.no_such_module")
    with pytest.raises(
        ModelError, match=r"ended without an answer, exit code 1: .*No module named eyebright.no_such_module\.$"
    ):
        Asked(finished.bundle, "onnx", 1)


def test_code_in_the_folder_that_the_user_is_in_is_not_run(finished, tmp_path, monkeypatch):
    for name in ("json.py", "numpy.py", "onnxruntime.py"):
        (tmp_path / name).write_text("open('was-run', 'w').close()\nraise SystemExit(3)\n", encoding="utf-8")
    bundle = finished.bundle.resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *sys.path])  # as where Python is started without a script
    Asked(bundle, "onnx", 1).close()
    assert not (tmp_path / "was-run").exists()


def test_a_form_that_dies_in_the_middle_fails_alone(finished, monkeypatch):
    ask = Asked.ask

    def killed_at_its_second_turn(self, batch, seconds):
        if self.form == "torch" and self.took:
            self._process.kill()
        ask(self, batch, seconds)

    monkeypatch.setattr(Asked, "ask", killed_at_its_second_turn)
    found = eyebright.benchmark(finished.path, forms=("onnx", "torch"), seconds=0.3, batch=4, threads=1)
    states = {row.form: row for row in found.forms}
    assert states["onnx"].state == "ok"
    assert states["torch"].state == "failed"
    assert "ended" in states["torch"].reason
    assert found.exit_code == ModelError.exit_code


def test_the_command_prints_a_row_a_form_and_the_roof(finished, capsys):
    assert main(["benchmark", str(finished.path), "--seconds", "0.1", "--batch", "2", "--forms", "onnx"]) == 0
    text = capsys.readouterr().out
    assert "onnx" in text
    assert "pictures/s, 2 at once" in text
    assert "The quickest, onnx, takes" in text


def test_the_command_speaks_json(finished, capsys):
    assert main(["benchmark", str(finished.path), "--seconds", "0.1", "--forms", "onnx", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["forms"][0]["form"] == "onnx"
