"""Tables for a person: the first stage beside the reranked list, with moves and both scores.

Where a table does not fit, the reranked hits are a list of two lines each.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sidecar.core.candidates import Candidate, Ranked, Ranking
from sidecar.core.explanation import Explanation

# Characters of a row that are no label: place, two scores, move, and the gaps between six columns.
_BESIDE_LABELS = 2 + 6 + 4 + 6 + 5 * 2
# Columns of a label or a title below which it tells too little.
_LEAST_LABEL = 18


def docids_and_titles(
    candidates: Sequence[Candidate], ranking: Ranking, hits: int, *, width: int
) -> list[RenderableType]:
    """The first `hits` of both lists with their ids, and the titles of the reranked ones, in `width` characters."""
    best = ranking.hits[:hits]
    # Each column is at least as wide as its heading.
    first_ids = ["BM25", *(one.docid for one in candidates[: len(best)])]
    best_ids = ["reranked", *(one.candidate.docid for one in best)]
    ids = sum(max(map(cell_len, docids)) for docids in (first_ids, best_ids))
    # One gap more than `_BESIDE_LABELS` counts, for the column of titles.
    room = width - _BESIDE_LABELS - 2 - ids
    if room < _LEAST_LABEL:
        return _listed(best, width)
    table = Table(box=None, pad_edge=False, show_edge=False, expand=False)
    table.add_column("", justify="right", style="dim", min_width=2)
    table.add_column("BM25", no_wrap=True)
    table.add_column("score", justify="right", style="dim", min_width=6)
    table.add_column("reranked", no_wrap=True, style="bold")
    table.add_column("title", max_width=room, no_wrap=True, overflow="ellipsis")
    table.add_column("move", justify="right", min_width=4)
    table.add_column("score", justify="right", style="dim", min_width=6)
    for row, (first, hit) in enumerate(zip(candidates, best, strict=False), start=1):
        docids = (escape(first.docid), f"{first.score:.2f}", escape(hit.candidate.docid))
        table.add_row(str(row), *docids, escape(label(hit.candidate)), _move(hit), _score(hit))
    return [table]


def first_stage_and_reranked(
    candidates: Sequence[Candidate], ranking: Ranking, hits: int, *, width: int
) -> list[RenderableType]:
    """The first `hits` of both lists by their titles, in `width` characters."""
    if (width - _BESIDE_LABELS) // 2 < _LEAST_LABEL:
        return _listed(ranking.hits[:hits], width)
    return [side_by_side(candidates, ranking, hits, width=width)]


def _listed(hits: Sequence[Ranked], width: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for hit in hits:
        docid, title = hit.candidate.docid, label(hit.candidate)
        head = f"[dim]{hit.rank:>2}[/]  [bold]{escape(docid)}[/]  {_move(hit)}  [dim]{_score(hit)}[/]"
        parts.append(Text.from_markup(head, overflow="fold"))
        if title != docid:
            line = Text(f"    {title}", no_wrap=True)
            line.truncate(width, overflow="ellipsis")
            parts.append(line)
    return parts


def side_by_side(candidates: Sequence[Candidate], ranking: Ranking, hits: int, *, width: int) -> Table:
    """The first `hits` of the first stage and of the ranking, row by row, in `width` characters."""
    label_width = max(12, min(40, (width - _BESIDE_LABELS) // 2))
    table = Table(box=None, pad_edge=False, show_edge=False, expand=False)
    table.add_column("", justify="right", style="dim", min_width=2)
    table.add_column("BM25", max_width=label_width, no_wrap=True, overflow="ellipsis")
    table.add_column("score", justify="right", style="dim", min_width=6)
    table.add_column("reranked", max_width=label_width, no_wrap=True, overflow="ellipsis", style="bold")
    table.add_column("move", justify="right", min_width=4)
    table.add_column("score", justify="right", style="dim", min_width=6)
    for row in range(min(hits, len(candidates))):
        first, best = candidates[row], ranking.hits[row]
        table.add_row(
            str(row + 1),
            escape(label(first)),
            f"{first.score:.2f}",
            escape(label(best.candidate)),
            _move(best),
            _score(best),
        )
    return table


def label(candidate: Candidate) -> str:
    """Name a document in one line: by its title, else the beginning of its text, else its id."""
    passage = candidate.passage
    return one_line(passage.title) or one_line(passage.text[:200]) or one_line(candidate.docid)


def one_line(text: str) -> str:
    """Return a text in one line, without control characters: no document may steer the terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def paragraph(explanation: Explanation) -> str:
    """The explanation of one hit's rank, in a few lines of markup."""
    first = f"first stage: rank {explanation.first_stage_rank}, score {explanation.first_stage_score:.4f}"
    lines = [f"[bold]{explanation.rank}  {escape(explanation.docid)}[/]", f"   {first}"]
    if explanation.rerank_score is None or explanation.relevance is None or explanation.score is None:
        return "\n".join([*lines, "   not scored: it has no text"])
    sure = "" if explanation.calibrated else ", uncalibrated"
    model = f"model: {explanation.rerank_score:.4f} (0–1: {explanation.relevance:.4f}{sure})"
    fused = f"fused: {explanation.score if explanation.stage_one_score is None else explanation.stage_one_score:.4f}"
    if explanation.normalized_first_stage is not None and explanation.normalized_rerank is not None:
        parts = f"{explanation.normalized_first_stage:.4f} of the first stage, {explanation.normalized_rerank:.4f}"
        fused += f" from {parts} of the model"
    read = f"read: {escape(', '.join(explanation.fields) or 'unknown fields')}"
    read += ", not to the end" if explanation.truncated else ""
    if chunk := explanation.chunk:
        read += f"; best chunk {chunk.index + 1} of {chunk.count}, characters {chunk.start} to {chunk.end}"
    lines += [f"   {model}", f"   {fused}"]
    if explanation.stage_one_rank is not None:
        before = f"rank {explanation.stage_one_rank} before stage two"
        lines.append(f"   {before}; the score of the place it has now: {explanation.score:.4f}")
    return "\n".join([*lines, f"   {read}"])


def _score(hit: Ranked) -> str:
    return "–" if hit.score is None else f"{hit.score:.3f}"


def _move(hit: Ranked) -> str:
    places = hit.candidate.rank - hit.rank
    if places > 0:
        return f"[green]↑{places}[/]"
    return f"[red]↓{-places}[/]" if places else "[dim]=[/]"
