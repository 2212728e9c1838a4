"""The addresses that TOOLKIT_HISTORY accepts. No message repeats a password."""

from __future__ import annotations

import pytest

from toolkit.adapters.history.database import read_address
from toolkit.errors import InputError


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://db.example/toolkit", "postgresql://db.example/toolkit"),
        ("postgres://ops@db.example/toolkit", "postgresql://ops@db.example/toolkit"),
        ("postgresql://ops:xyzzy@db.example:5433/t", "postgresql://ops@db.example:5433/t"),
        ("postgresql://ops:x:y#z&zy@db.example/t", "postgresql://ops@db.example/t"),
        ("postgresql://ops:%40xyzzy%2F@[::1]:5433/t", "postgresql://ops@[::1]:5433/t"),
        ("postgresql://ops:xyzzy@a:1,b:2/t", "postgresql://ops@a:1,b:2/t"),
        ("postgresql://ops:xyzzy@%2Frun%2Fpg/t", "postgresql://ops@%2Frun%2Fpg/t"),
        ("postgresql:///t?host=/run/pg&user=ops", "postgresql:///t?host=/run/pg&user=ops"),
        (
            "postgresql://ops@db/t?password=xyzzy&sslmode=verify-full&sslpassword=xyzzy",
            "postgresql://ops@db/t?sslmode=verify-full",
        ),
        ("postgresql://ops@db/t?password=xyzzy", "postgresql://ops@db/t"),
        ("postgresql://", "postgresql://"),
    ],
)
def test_an_address_is_shown_without_its_passwords(url: str, name: str) -> None:
    address = read_address(url)
    assert (address.name, address.url) == (name, url)
    assert "xyzzy" not in repr(address)


def test_words_of_the_driver_lose_a_password_in_each_of_its_forms() -> None:
    address = read_address("postgresql://ops:x%40yzzy@db/t?sslpassword=plugh")
    words = address.without_secrets("FATAL: x%40yzzy, x@yzzy and plugh of ops")
    assert words == "FATAL: ***, *** and *** of ops"


@pytest.mark.parametrize(
    "url",
    [
        "xyzzy",
        "sqlite:///xyzzy",
        "postgresl://ops:xyzzy@db/t",
        "host=db password=xyzzy",
        "postgresql://ops:xy@zzy@db/t",
        "postgresql://ops:xy/zzy@db/t",
        "postgresql://ops:12/xyzzy@db/t",
        "postgresql://ops:12?xyzzy@db/t",
        "postgresql://ops:xyzzy%@db/t",
        "postgresql://ops:xyzzy%00@db/t",
        "postgresql://ops:xy zzy@db/t",
        "postgresql://ops:xyzzy@db:port/t",
        "postgresql://ops:xyzzy@db/t/u@v",
        "postgresql://ops@db/t?password=xy@zzy",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as caught:
        read_address(url)
    assert caught.value.message == "TOOLKIT_HISTORY is not the address of a history in PostgreSQL"
    assert caught.value.hint.startswith("write postgresql://USER@HOST/DATABASE?sslmode=verify-full")
    assert "xy" not in caught.value.hint
