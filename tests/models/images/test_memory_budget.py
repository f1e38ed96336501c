"""The semaphore admits decoders by the memory that they need."""

from __future__ import annotations

import threading
import time

from models.images.memory_budget import WeightedSemaphore


def test_the_semaphore_admits_what_fits_and_the_rest_waits_in_order() -> None:
    budget, order = WeightedSemaphore(10), list[str]()

    def enter(name: str, amount: int) -> None:
        with budget.hold(amount):
            order.append(name)

    with budget.hold(6):
        enter("fits", 4)
        large = threading.Thread(target=enter, args=("large", 99))
        large.start()
        time.sleep(0.02)
        small = threading.Thread(target=enter, args=("small, later", 1))
        small.start()
        time.sleep(0.02)
        assert order == ["fits"]
    large.join(5)
    small.join(5)
    assert order == ["fits", "large", "small, later"]
