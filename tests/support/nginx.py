"""A real nginx with the example of `deploy/`, as a plain process with TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import wait

EXAMPLE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
OPENSSL = shutil.which("openssl")

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2;
    fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    include {folder}/example.conf;
}}
"""


def free_port() -> int:
    """Return a port that no program uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def proxy(pages: str, folder: Path, host: str = "$http_host") -> Iterator[str]:
    """Yield the address of nginx in front of `pages`; `host` is the header Host that it passes."""
    if NGINX is None or OPENSSL is None:
        pytest.skip("there is no nginx or openssl on this machine: `apt install nginx-light openssl`")
    port = free_port()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    replaced = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server_name pets.example.org": "server_name localhost",
        "/etc/ssl/certs/pets.example.org.pem": str(certificate),
        "/etc/ssl/private/pets.example.org.key": str(key),
        "http://127.0.0.1:8420": pages,
        "Host $http_host": f"Host {host}",
    }
    example = EXAMPLE.read_text("utf-8")
    for text, instead in replaced.items():
        assert text in example
        example = example.replace(text, instead)
    (folder / "example.conf").write_text(example, "utf-8")
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder), "utf-8")
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait(lambda: process.poll() is not None or _answers(port), "nginx")
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            yield f"https://localhost:{port}"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
