"""The command `serve`: serve the web pages."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer
from pydantic import ValidationError

from pipeline.cli.options import DEFAULT, Config, integer, load
from pipeline.errors import SettingsError
from pipeline.settings.config import Settings
from pipeline.settings.sections import WebSettings


def serve(
    config: Config = DEFAULT,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of `web.host`.")] = None,
    port: Annotated[int | None, integer("Port to listen on, instead of `web.port`.", 1, 65_535)] = None,
) -> None:
    """Serve the pages and the API until Ctrl-C; the worker is a separate process.

    Example: pawsort serve --port 8421
    """
    settings = _with_address(load(config), host, port)
    require_pages()
    from models import working_folder
    from pipeline.import_path import interpreter
    from pipeline.learning.learning_process import NICENESS
    from pipeline.relocate.marker import refuse_moved
    from pipeline.web.server import serve as run

    refuse_moved(settings.state)

    learn, report = (
        [*interpreter(niceness=NICENESS), command, "--config", str(config.absolute())]
        for command in ("learn", "report")
    )
    working_folder.leave()
    raise typer.Exit(run(settings, learn=learn, report=report))


def _with_address(settings: Settings, host: str | None, port: int | None) -> Settings:
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    try:
        web = WebSettings.model_validate({**settings.web.model_dump(), **given})
    except ValidationError as error:
        wrong = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise SettingsError(f"web: {wrong}") from error
    return settings.model_copy(update={"web": web})


def require_pages() -> None:
    """Raise SettingsError unless the packages that the pages need are installed."""
    needed = {
        "fastapi": "fastapi",
        "uvicorn": "uvicorn",
        "jinja2": "jinja2",
        "python_multipart": "python-multipart",
        "markdown_it": "markdown-it-py",
    }
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        from models.installation import install_command

        raise SettingsError(f"the pages need {', '.join(missing)}; run `{install_command(extra='web')}`")
