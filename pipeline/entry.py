"""Where every way to start Pawsort begins: make the import path safe before anything else is imported."""

from pipeline import import_path


def main() -> None:
    """Run the command that the command line names."""
    import_path.secure()
    from pipeline.cli.app import main as run

    run()
