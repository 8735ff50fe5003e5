"""The noise floor of OPD on the page: what single-task nets would show by chance alone."""

from collections.abc import Sequence

from sweep.report.sheet import Judged, Page, points


def floor_columns(page: Page, shown: Sequence[Judged]) -> list[tuple[str, list[str]]]:
    """Columns beside those of OPD: each method's noise floor by task; none where no nets were asked for."""
    floors = {(line["suggestion"], line["task"]): line["floor"] for line in page.lines("tasks")}
    found = []
    for one in shown:
        tasks = range(one.runs.matrices.shape[-1])
        texts = [points(floors.get((one.arm.suggestion, task))) for task in tasks]
        if any(text != points(None) for text in texts):
            found.append((f"noise floor of {one.name}", texts))
    return found


def floor_note(page: Page) -> str:
    """What of the leader's AOPD chance alone would show; nothing where no nets were asked for."""
    one = page.leader
    if one is None or one.line["aopd"] is None:
        return ""
    lines = [line for line in page.lines("tasks") if line["suggestion"] == one.arm.suggestion]
    known = [float(line["floor"]) for line in lines if line["floor"] is not None]
    if not known:
        return ""
    lacking = sum(line["nets_failed"] + line["nets_missing"] for line in lines)
    less = f", {lacking} of them failed or missing" if lacking else ""
    nets = sum(line["nets"] for line in lines) + lacking
    floor = points(sum(known) / len(known))
    return (
        f" Nets that learn one task alone would show {floor} points of AOPD by chance (noise floor, {nets} "
        f"nets{less}), against {points(one.line['aopd'])} here."
    )
