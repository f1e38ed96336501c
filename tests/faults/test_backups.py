"""Backups while photos are filed and the worker is killed: a small soak; `make backups` is the whole one."""

from __future__ import annotations

from pathlib import Path

from tests.support.backup_soak import BackupSoak, Plan
from tests.support.fork_server import ForkServer


def test_every_backup_restores_and_reconciles_whatever_was_on_its_way(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    figures = BackupSoak(tmp_path, Plan(40, kills=2, every=0.5, seconds=1.5), fork_server).run()
    assert figures["backups"] > 1 and figures["kills"] == 2 and figures["backups_refused"] == []
    assert figures["rows_in_backups"][0] < figures["rows_in_backups"][1]
