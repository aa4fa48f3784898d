"""What a graded notebook draws: by student, assignment and secret."""

import pytest

from coursekit.grading import class_key, personal_rng, secret_rng, seed_hidden_inputs


def test_draws():
    one = personal_rng(" Ann ", "key", "t").normal()
    assert one == personal_rng("ann", "key", "t").normal()
    # a spelling is no other draw
    for same in ("A.n n", "änn", "ann_"):
        assert one == personal_rng(same, "key", "t").normal()
    number = personal_rng("0071", "key", "t").normal()
    assert number == personal_rng("71", "key", "t").normal()
    # marks alone are a name as well, where there is no other
    assert (
        personal_rng("--", "k", "t").normal() != personal_rng("..", "k", "t").normal()
    )
    others = {
        personal_rng("bob", "key", "t").normal(),
        personal_rng("ann", "kez", "t").normal(),
        personal_rng("ann", "key", "u").normal(),
    }
    assert len(others | {one}) == 4
    with pytest.raises(ValueError, match="student_id is empty"):
        personal_rng(" ", "key", "t")
    assert class_key("a", "bc") != class_key("ab", "c")


def test_hidden_inputs_follow_secret_assignment_and_student():
    seen = set()
    try:
        for settings in (
            ("s", "a", "x"),
            ("t", "a", "x"),
            ("s", "b", "x"),
            ("s", "a", "y"),
        ):
            seed_hidden_inputs(*settings)
            seen.add(secret_rng("task").normal())
            seed_hidden_inputs(*settings)
            assert secret_rng("task").normal() in seen
    finally:
        seed_hidden_inputs(None, "", "")
    assert len(seen) == 4
