from __future__ import annotations

import pytest
import yaml

from models.plain_yaml import load, quoted


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: {b: 1, b: 1}", "[{a: 1, c: 2, a: 3}]", "1: a\n1: b"])
def test_a_key_that_occurs_twice_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"occurs twice,.*line \d"):
        load(text)


def test_merged_keys_may_be_replaced_and_a_mapping_be_used_again() -> None:
    text = "a: &a {size: 1, wait: 2}\nb: &b {<<: *a, size: 5}\nc: *b\nd: {<<: *b, wait: 3}"
    found = load(text)
    assert found["b"] == found["c"] == {"size": 5, "wait": 2} and found["d"] == {"size": 5, "wait": 3}


def test_only_plain_values_are_made() -> None:
    with pytest.raises(yaml.YAMLError):
        load("!!python/object/apply:os.system [exit 1]")


def test_a_value_of_any_size_is_quoted_in_few_words() -> None:
    value: object = "x"
    for _ in range(100):
        value = [value] * 9
    for large in (value, 16**6000, -(16**6000), "y" * 10**6, dict.fromkeys(range(10**4), value)):
        assert 20 < len(quoted(large)) < 250
    assert quoted([1, "a", None, {"b": 2.5}]) == "[1, 'a', None, {'b': 2.5}]"
