"""Safeguards: versions of the model, and the change from one to another at work."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

CHANGE = "pipeline/worker/test_model_change.py"
REFUSED = "pipeline/worker/test_refused_versions.py"
SWITCH = "pipeline/classifier/model_switch.py"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "no change of model while batches are in flight",
        SWITCH,
        "            if trial.has_passed and not self.in_flight:\n",
        "            if trial.has_passed:\n",
        (),
        (f"{CHANGE}::test_hundreds_of_photos_are_answered_by_one_version_each_while_versions_change",),
    ),
    of(
        "a version classifies photos filed before, ahead of its use",
        SWITCH,
        "        elif items := list(enumerate(self._surroundings.samples(SAMPLES))):\n",
        "        elif items := []:\n",
        (50, 51),
        (f"{REFUSED}::test_a_version_whose_child_fails_leaves_the_old_one_at_work_also_after_a_restart",),
    ),
    of(
        "pauses before a version that failed is tried again",
        SWITCH,
        "        elif now < self._retry_at:\n            return\n",
        "",
        (),
        (f"{REFUSED}::test_a_damaged_version_leaves_the_old_one_at_work",),
    ),
    of(
        "a record that cannot be read changes no model",
        SWITCH,
        "            self._want(chain(self.family)[0])\n",
        "            self._want(chain_or_base(self.family)[0])\n",
        (),
        (f"{REFUSED}::test_a_record_that_cannot_be_read_leaves_the_version_at_work",),
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
        "        replace_file(known.folder / LAST, [str(number).encode()])\n",
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
    of(
        "the own threshold of a version measured when it takes over",
        "pipeline/worker/startup.py",
        "    return ModelChange(switch, (measure, label))\n",
        "    return ModelChange(switch, (label,))\n",
        (),
        (
            "pipeline/worker/test_follows_the_model.py::test_the_own_threshold_of_a_version_is_measured_when_it_takes_over",
        ),
    ),
    of(
        "the folders of a new class known once its version is at work",
        "pipeline/worker/startup.py",
        "    return ModelChange(switch, (measure, label))\n",
        "    return ModelChange(switch, (measure,))\n",
        (),
        (
            "pipeline/worker/test_follows_the_model.py::test_the_folder_of_a_new_class_has_its_label_once_its_version_is_at_work",
        ),
    ),
    of(
        "a change that could not be followed is not forgotten",
        "pipeline/worker/startup.py",
        "        self._pending = self._switch.advance() or self._pending\n",
        "        self._pending = self._switch.advance()\n",
        (),
        (
            "pipeline/worker/test_follows_the_model.py::test_a_database_that_is_away_when_a_version_takes_over_delays_it_and_mixes_nothing",
        ),
    ),
    of(
        "commands and pages use the version that answers instead of one that was refused",
        "pipeline/worker/startup.py",
        "            note(self._switch.family, *now)\n",
        "",
        (),
        (
            "pipeline/worker/test_refused_versions.py::test_commands_and_pages_use_what_the_worker_uses_after_a_version_was_refused",
        ),
    ),
    of(
        "a refusal lasts until the version is at work",
        "pipeline/worker/startup.py",
        " and (self._switch.problem or self._switch.labels):\n",
        ":\n",
        (),
        ("pipeline/worker/test_refused_versions.py::test_a_refusal_lasts_until_the_version_is_at_work",),
    ),
    of(
        "a refused version that is promoted again is tried at once",
        "pipeline/learning/versions.py",
        "        if number != record.version or is_refused or foreign",
        "        if number != record.version or foreign",
        (),
        (
            "pipeline/worker/test_refused_versions.py::test_after_a_rollback_to_a_version_that_fails_all_stay_with_the_one_at_work",
        ),
    ),
)
