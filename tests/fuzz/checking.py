"""What the tests of all targets share."""

from pathlib import Path

from tests.faults.record import cases, record
from tests.fuzz.cases import Target, run_cases


def check(part: str, target: Target, folder: Path) -> None:
    """Run the first cases of a target, which belongs to a part of the package."""
    number = cases(300, 10_000)
    outcome = run_cases(target, folder, range(number))
    assert not outcome.findings, '\n'.join(
        f'{count} x {found} (cases {outcome.findings[found]} of {target.name})'
        for found, count in outcome.counts.most_common())
    # The seeds are neither all read nor all refused: what is changed is what is looked at.
    assert outcome.injected == number and 0 < outcome.read < number
    record('fuzz', f'{part}/{target.name}', injected=number, survived=outcome.read,
           refused=number - outcome.read)
