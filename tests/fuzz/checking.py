"""What the tests of all targets share."""

from pathlib import Path

from tests.fuzz.cases import Target, run_cases

CASES = 300  # of a target in every run; ``python -m tests.fuzz`` is the long one


def check(target: Target, folder: Path) -> None:
    """Run the first cases of a target."""
    outcome = run_cases(target, folder, range(CASES))
    assert not outcome.findings, '\n'.join(
        f'{count} x {found} (cases {outcome.findings[found]} of {target.name})'
        for found, count in outcome.counts.most_common())
    # The seeds are neither all read nor all refused: what is changed is what is looked at.
    assert outcome.injected == CASES and 0 < outcome.read < CASES
