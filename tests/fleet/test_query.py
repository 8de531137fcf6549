"""The filter's grammar: what each term keeps, what is said of one that means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.fleet.query import NUMBERS, TEXTS, QueryError, parse_query, parse_terms
from tests.tui.support import mixed_store

STORE = mixed_store()
NOW = STORE.clock.monotonic()
EVERY = {device.id for device in STORE}


def kept(text: str) -> set[str]:
    query = parse_query(text)
    return {device.id for device in STORE if query.matches(device, NOW)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EVERY),
        ("   ", EVERY),
        ("!", EVERY),
        ("lost", {"gate"}),
        ("!lost", EVERY - {"gate"}),
        ("temp>80", {"cam-02"}),
        ("temp>80C", {"cam-02"}),
        ("temp>=80 temp<81", set()),
        ("!temp>80", EVERY - {"cam-02"}),
        ("tag:camera", {"cam-01", "cam-02"}),
        ("tag:CAM*", {"cam-01", "cam-02"}),
        ("tag:cam", set()),
        ("tag~cam", {"cam-01", "cam-02"}),
        ("tag!=camera", EVERY - {"cam-01", "cam-02"}),
        ("mode:maxn", {"cam-02", "gate"}),
        ("mode:maxn !lost", {"cam-02"}),
        ("name~cam", {"cam-01", "cam-02"}),
        ("name:cam", set()),
        ('module:"orin nx 16gb"', {"cam-02"}),
        ("module~orin site:roof", {"cam-02"}),
        ("state:live", {"cam-01", "cam-02", "lab-thor"}),
        ("is:hot", {"cam-02"}),
        ("age>5", {"dock", "gate"}),
        ("power>20W", {"dock"}),
        ("gpu=83", {"lab-thor"}),
        ("jetpack:*6.2*", {"cam-01", "cam-02", "dock", "gate", "lab-thor"}),
        ("10.0.0.7", EVERY),
        ("fe80::1", set()),
    ],
)
def test_what_terms_keep(text: str, expected: set[str]) -> None:
    assert kept(text) == expected


def test_unknown_is_never_a_number() -> None:
    without = {device.id for device in STORE if device.stats is None}
    assert without == {"mast", "rover"}
    for operator in (">", "<", ">=", "<=", "=", "!="):
        assert not kept(f"temp{operator}0") & without, operator


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tmp>80", "there is no field 'tmp'. Did you mean temp?"),
        ("temp>", "temp is compared with a number in C"),
        ("temp>hot", "temp is compared with a number in C"),
        ("temp>80W", "temp is compared with a number in C"),
        ("temp~80", "temp is compared with a number in C"),
        ("name>3", "name is compared with a word"),
        ("tag:", "tag is compared with a word"),
        ("zzzz:1", "there is no field 'zzzz'. Fields: temp, gpu"),
        (" ".join(["a"] * 33), "more than 32 terms"),
    ],
)
def test_what_means_nothing_is_said(text: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert said in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_explained(text: str) -> None:
    query, problem = parse_terms(text)
    assert problem is None or problem.what
    for device in STORE:
        assert query.matches(device, NOW) in (True, False)


@given(
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from([">", "<", ">=", "<=", "="]),
    st.integers(-50, 150),
)
def test_a_number_and_its_negation_share_the_fleet(field: str, operator: str, limit: int) -> None:
    term = f"{field}{operator}{limit}"
    assert kept(term) | kept(f"!{term}") == EVERY
    assert not kept(term) & kept(f"!{term}")


@given(st.sampled_from(sorted(TEXTS)), st.text("abcdefghij*-0123", min_size=1, max_size=8))
def test_a_word_and_its_opposite_share_the_fleet(field: str, word: str) -> None:
    assert kept(f"{field}:{word}") == EVERY - kept(f"{field}!={word}")
