from __future__ import annotations

from pipeline.web.services.byte_cache import ByteLRUCache


def test_the_cache_keeps_what_was_used_last() -> None:
    cache = ByteLRUCache(limit=10)
    for key in "ab":
        cache.put(key, b"12345")
    cache.get("a")
    cache.put("c", b"12345")
    assert [cache.get(key) for key in "abc"] == [b"12345", None, b"12345"]
