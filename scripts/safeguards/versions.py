"""Safeguards: versions of the model, and the change from one to another at work."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

CHANGE = "pipeline/worker/test_model_change.py"
SWITCH = "pipeline/classifier/model_switch.py"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "no change of model while batches are in flight",
        SWITCH,
        "            if trial.has_passed and not self.in_flight:\n",
        "            if trial.has_passed:\n",
        (),
        (f"{CHANGE}::test_thousand_photos_are_answered_by_one_version_each_while_versions_change",),
    ),
    of(
        "a version classifies photos filed before, ahead of its use",
        SWITCH,
        "        elif items := list(enumerate(self._surroundings.samples(SAMPLES))):\n",
        "        elif items := []:\n",
        (50, 51),
        (f"{CHANGE}::test_a_version_whose_child_fails_leaves_the_old_one_at_work_also_after_a_restart",),
    ),
    of(
        "pauses before a version that failed is tried again",
        SWITCH,
        "        elif now < self._retry_at:\n            return\n",
        "",
        (),
        (f"{CHANGE}::test_a_damaged_version_leaves_the_old_one_at_work",),
    ),
    of(
        "a record that cannot be read changes no model",
        SWITCH,
        "            self._want(chain(self.family)[0])\n",
        "            self._want(chain_or_base(self.family)[0])\n",
        (),
        (f"{CHANGE}::test_a_record_that_cannot_be_read_leaves_the_version_at_work",),
    ),
    of(
        "the files of a version checked before its promotion",
        "pipeline/learning/versions.py",
        "    check(known, version)\n    with limited",
        "    with limited",
        (),
        ("pipeline/learning/test_versions.py::test_a_damaged_version_is_not_promoted",),
    ),
    of(
        "no version of another base",
        "pipeline/learning/versions.py",
        "        if problem := foreign(known, version, record.base_of(number)):\n",
        "        if problem := None:\n",
        (),
        ("pipeline/learning/test_versions.py::test_versions_of_another_base_are_named_once_and_not_used",),
    ),
    of(
        "no number of a version is used twice",
        "pipeline/learning/versions.py",
        "        replace_file(known.folder / _LAST, [str(number).encode()])\n",
        "",
        (),
        ("pipeline/learning/test_versions.py::test_no_number_is_given_twice",),
    ),
    of(
        "a heartbeat that errors of the disk under versions do not end",
        "pipeline/learning/listing.py",
        "        except OSError:  # the heartbeat must go on\n            return None\n",
        "        except ZeroDivisionError:\n            return None\n",
        (),
        (
            "pipeline/learning/test_nightly.py::test_a_folder_that_cannot_be_listed_does_not_end_the_heartbeat",
        ),
    ),
    of(
        "the lowest priority of learning",
        "pipeline/import_path.py",
        "os.nice({niceness}); ",
        "",
        (),
        ("pipeline/learning/test_nightly.py::test_the_process_has_the_lowest_priority",),
    ),
)
