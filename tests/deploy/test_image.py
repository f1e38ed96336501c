"""The image is built on a base of Debian's packages, which needs no registry; it sorts and serves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "build_image.sh"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

SERVE = """
export PAWSORT_WEB__HOST=0.0.0.0 PAWSORT_WEB__TOKEN=0123456789abcdef
python /app/run_worker.py serve &
ask="import urllib.request as u; print(u.urlopen('http://127.0.0.1:8420/healthz').read())"
for try in $(seq 60); do python -c "$ask" 2>/dev/null && break; sleep 1; done
kill $!; wait $!; echo $?
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """Build the image, and yield a container of it that is not running."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))):
        pytest.skip("root builds images, with buildah and debootstrap: `apt install buildah debootstrap`")
    # Where packages come by a proxy with certificates of its own, the build needs them too.
    own = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if "SSL_CERT_FILE" in os.environ else []
    subprocess.run([SCRIPT, "--isolation", "chroot", *own], check=True)
    made = subprocess.run(["buildah", "from", "pawsort"], check=True, capture_output=True, text=True)
    yield made.stdout.strip()
    subprocess.run(["buildah", "rm", made.stdout.strip()], check=True)


def run(container: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the shell in a container, as the user of the image."""
    whole = ["buildah", "run", "--isolation", "chroot", container, "sh", "-c", command]
    return subprocess.run(whole, capture_output=True, text=True)


def test_the_image_sorts_and_serves(container: str) -> None:
    sorted_ = run(container, "echo hello > /data/inbox/notes.txt; python /app/run_worker.py run --once")
    assert sorted_.returncode == 1 and "filed 1" in sorted_.stderr, sorted_.stderr
    assert run(container, "cat /data/sorted/failed/notes.txt").stdout == "hello\n"
    assert run(container, "python -c 'import psycopg'").returncode == 0
    assert run(container, "id -u; touch /app/x").stdout == "10001\n"
    served = run(container, SERVE)
    assert served.stdout.splitlines() == ['b\'{"status":"ok"}\'', "143"], served.stderr
