"""``python -m eyebright``: the command, where its script is not on the path."""

from eyebright.cli.main import entry

if __name__ == "__main__":
    entry()
