# ruff: noqa: E501
"""Safeguards: learning from judged photos."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a version whose files were deleted at work gives way to the one before it",
        "pipeline/classifier/model_switch.py",
        "            if not self._active.version.number:\n                raise\n",
        "            raise\n",
        (),
        (
            "pipeline/worker/test_refused_versions.py::test_a_version_at_work_that_cannot_start_again_gives_way_to_the_one_before_it",
        ),
    ),
    of(
        "no version from wrong labels is better",
        "models/learning/verdict.py",
        "        _of_labels(comparison)\n        or _of_new_labels",
        "        _of_new_labels",
        (),
        ("models/learning/test_verdict.py::test_it_is_not_promoted_otherwise_and_the_reason_says_why",),
    ),
    of(
        "a version that files more photos wrongly than promised is not better",
        "models/learning/verdict.py",
        "        or _of_filed(comparison.own, comparison.target_precision)\n",
        "",
        (),
        (
            "models/learning/test_verdict.py::test_more_of_ones_own_photos_in_wrong_folders_than_promised_is_not_better",
        ),
    ),
    of(
        "photos left out for a new class do not come back in the next version",
        "models/learning/version.py",
        "    return pack_replay(base)\n",
        "    return stored\n",
        (),
        (
            "models/learning/test_next_version.py::test_photos_left_out_for_a_new_label_do_not_come_back_in_the_next_version",
        ),
    ),
    of(
        "a few flips do not make a version better",
        "models/learning/verdict.py",
        "    if at_least(better, better + worse) <= SIGNIFICANT and better > worse:\n",
        "    if better > worse:\n",
        (),
        ("models/learning/test_verdict.py::test_it_is_not_promoted_otherwise_and_the_reason_says_why",),
    ),
    of(
        "photos that a version has learnt from do not compare",
        "models/learning/judged.py",
        "    return np.where(learnt & (parts == TEST), TRAIN, parts).astype(np.int8)\n",
        "    return parts\n",
        (),
        ("models/learning/test_judged.py::test_photos_that_the_champion_has_learnt_from_do_not_compare",),
    ),
    of(
        "a photo with another content is not learnt from",
        "models/learning/photos.py",
        "        if hashlib.sha256(content).hexdigest() != digest:\n",
        "        if False:\n",
        (),
        (
            "pipeline/learning/test_learn.py::test_a_photo_that_is_gone_or_changed_is_left_out_with_its_reason",
        ),
    ),
    of(
        "photos of training are predicted by layers fitted without them",
        "models/learning/fitting/last_layer.py",
        "rows = [np.concatenate([folds[trains] != fold, np.ones(len(own), bool)]) for fold in range(FOLDS + 1)]",
        "rows = [np.ones(trains.sum() + len(own), bool) for fold in range(FOLDS + 1)]",
        (),
        (
            "models/learning/fitting/test_last_layer.py::test_a_layer_that_remembers_old_labels_of_training_does_not_hide_a_new_one",
        ),
    ),
    of(
        "the last layer begins at the champion's, those of sources do not",
        "models/learning/fitting/last_layer.py",
        "heads = _heads(material, rows, seed, material.start, progress)",
        "heads = _heads(material, rows, seed, None, progress)",
        (),
        (
            "models/learning/fitting/test_last_layer.py::test_a_layer_keeps_what_the_champion_can_do_though_the_replay_does_not_show_it",
        ),
    ),
    of(
        "a learnt version answers in the precision that it was learnt in",
        "models/inference/engines.py",
        "    if alone not in (None, chosen):\n",
        "    if False:\n",
        (),
        (
            "models/inference/test_engines.py::test_a_learnt_version_answers_in_the_precision_that_it_was_learnt_in_alone",
        ),
    ),
    of(
        "an interrupted run leaves no version",
        "pipeline/learning/learn.py",
        "    finally:\n        shutil.rmtree(folder, ignore_errors=True)\n",
        "    finally:\n        pass\n",
        (),
        (
            "pipeline/learning/test_learn.py::test_an_interrupted_run_leaves_nothing_and_one_killed_is_cleared_away",
        ),
    ),
    of(
        "one process learns at a time",
        "pipeline/learning/learn.py",
        "        learning(settings),\n",
        "",
        (),
        ("pipeline/learning/test_learn.py::test_one_process_learns_at_a_time",),
    ),
    of(
        "of too many judged photos those judged last are learnt from",
        "pipeline/learning/learn.py",
        "    found.sort(key=lambda row: (row.reviewed_at or _NEVER, row.id))\n",
        "",
        (),
        (
            "pipeline/learning/test_learn.py::test_of_too_many_judged_photos_those_judged_last_are_learnt_from",
        ),
    ),
    of(
        "what is judged while it learns counts as new",
        "pipeline/learning/diary.py",
        "    return ended - timedelta(seconds=seconds)\n",
        "    return ended\n",
        (),
        ("pipeline/learning/test_nightly.py::test_what_was_judged_while_it_learnt_by_hand_is_new",),
    ),
)
