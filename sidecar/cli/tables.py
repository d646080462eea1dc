"""Tables for a person: the first stage beside the reranked list, with moves and both scores."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from sidecar.core.candidates import Candidate, Ranked, Ranking
from sidecar.core.explanation import Explanation

# Characters of a row that are no label: place, two scores, move, and the gaps between six columns.
_BESIDE_LABELS = 2 + 6 + 4 + 6 + 5 * 2


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
            "–" if best.score is None else f"{best.score:.3f}",
        )
    return table


def label(candidate: Candidate) -> str:
    """Name a document in one line: by its title, else the beginning of its text, else its id."""
    passage = candidate.passage
    return passage.title or " ".join(passage.text[:200].split()) or candidate.docid


def paragraph(explanation: Explanation) -> str:
    """Why one hit stands where it stands, in a few lines of markup."""
    first = f"first stage: rank {explanation.first_stage_rank}, score {explanation.first_stage_score:.4f}"
    lines = [f"[bold]{explanation.rank}  {escape(explanation.docid)}[/]", f"   {first}"]
    if explanation.rerank_score is None or explanation.relevance is None or explanation.score is None:
        return "\n".join([*lines, "   not scored: it has no text"])
    sure = "" if explanation.calibrated else ", uncalibrated"
    model = f"model: {explanation.rerank_score:.4f} (0–1: {explanation.relevance:.4f}{sure})"
    fused = f"fused: {explanation.score:.4f}"
    if explanation.normalized_first_stage is not None and explanation.normalized_rerank is not None:
        parts = f"{explanation.normalized_first_stage:.4f} of the first stage, {explanation.normalized_rerank:.4f}"
        fused += f" from {parts} of the model"
    read = f"read: {escape(', '.join(explanation.fields) or 'unknown fields')}"
    read += ", not to the end" if explanation.truncated else ""
    if chunk := explanation.chunk:
        read += f"; best chunk {chunk.index + 1} of {chunk.count}, characters {chunk.start} to {chunk.end}"
    return "\n".join([*lines, f"   {model}", f"   {fused}", f"   {read}"])


def _move(hit: Ranked) -> str:
    places = hit.candidate.rank - hit.rank
    if places > 0:
        return f"[green]↑{places}[/]"
    return f"[red]↓{-places}[/]" if places else "[dim]=[/]"
