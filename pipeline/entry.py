"""Entry point of the program: make the import path safe, then import and run the commands."""

from pipeline import import_path


def main() -> None:
    """Run the command that the command line names."""
    import_path.secure()
    from pipeline.cli.app import main as run

    run()
