"""`sidecar mine`: an index and judgements, or clicks, in; labelled candidate lists with hard negatives out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import app
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.factories import say
from sidecar.cli.first_stages import SEARCHED, open_stage
from sidecar.cli.long_run import keep_finished
from sidecar.cli.options import BM25, FIELDS, OPENSEARCH, PYSERINI, RM3, TOPICS, takes
from sidecar.cli.progress import Pace, progress
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

CLICKS_PANEL = "Instead of --topics and --qrels"


CLICKS = Condition(
    ("click_action",), lambda mode: mode.click_events is not None, "there are no clicks (--click-events)"
)


@app.command("mine")
@takes(*BM25, *RM3, *FIELDS, *PYSERINI, *OPENSEARCH, conditions=(*SEARCHED, CLICKS), opensearch_url="--url")
def mine_command(
    index: Annotated[str, typer.Option(help="Lucene index (directory, prebuilt or server's name), or OpenSearch one.")],
    output: Annotated[
        Path,
        typer.Option(
            dir_okay=False, help="Labelled candidate lists to write (.gz, .zst, .bz2 and .xz are compressed)."
        ),
    ],
    engine: Annotated[
        SearchEngine, typer.Option(help="Which engine holds the index; unset: OpenSearch with a URL, else Lucene.")
    ],
    topics: Annotated[Path | None, typer.Option(help=f"Queries: {TOPICS}.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements; a hit without one counts as irrelevant.")] = None,
    click_queries: Annotated[
        Path | None, typer.Option(help="Documents of ubi_queries, JSON lines.", rich_help_panel=CLICKS_PANEL)
    ] = None,
    click_events: Annotated[
        Path | None, typer.Option(help="Documents of ubi_events, JSON lines.", rich_help_panel=CLICKS_PANEL)
    ] = None,
    click_action: Annotated[
        str, typer.Option(help="The action_name of a click.", rich_help_panel=CLICKS_PANEL)
    ] = "click",
    corpus: Annotated[Path | None, typer.Option(help="Texts of judged documents that the index does not find.")] = None,
    negatives: Annotated[int, typer.Option(min=1, max=1000, help="Irrelevant passages of a query, at most.")] = 30,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Depth of the first stage.")] = 100,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of the first stage.")] = 1,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace lists that are there.")] = False,
    settings: Settings,
) -> None:
    """Make training data: what is judged relevant, and what BM25 ranks high all the same."""
    from sidecar.core.atomic_write import atomic_write
    from sidecar.training.mining import Mined, mine, texts_of

    keep_finished(output, force=force)
    asked, judged, unjudged = _judgements(topics, qrels, click_queries, click_events, click_action)
    wanted = {docid for grades in judged.values() for docid in grades}
    mined = Mined(texts=texts_of(corpus, wanted) if corpus is not None else {})
    work = [(qid, text) for qid, text in asked.items() if any(grade > 0 for grade in judged.get(qid, {}).values())]
    pace = Pace("queries", total=len(work))
    with open_stage(engine, index, settings, hits=hits, threads=threads) as stage, atomic_write(output) as stream:
        lines = mine(
            stage.lists(work), judged, mined, fields=settings.as_fields(), negatives=negatives, unjudged=unjudged
        )
        with progress("mining", pace) as meter:
            for line in lines:
                stream.write(line.decode() + "\n")
                meter.advance()
    say(f"{mined} → {output}")
    if mined.positives_not_found and corpus is None:
        say("The texts of relevant documents that the first stage does not find come from --corpus.")


def _judgements(
    topics: Path | None, qrels: Path | None, click_queries: Path | None, click_events: Path | None, click_action: str
) -> tuple[dict[str, str], Mapping[str, Mapping[str, int]], bool]:
    """Queries by id, their grades, and whether an unjudged hit counts as irrelevant."""
    from sidecar.experiments.qrels import read_qrels
    from sidecar.experiments.topics import read_topics
    from sidecar.training.clicks import read_clicks

    by_clicks = click_queries is not None or click_events is not None
    if by_clicks == (topics is not None or qrels is not None):
        raise ConfigurationError("mining takes judgements or clicks.", remedy="Give --topics and --qrels, or clicks.")
    if click_queries is not None and click_events is not None:
        found = read_clicks(click_queries, click_events, action=click_action)
        strange = f", {found.unknown} events of unknown queries" if found.unknown else ""
        say(f"{found.searches} searches with a click, {len(found.topics)} different queries{strange}")
        # Below the last click nobody knows what was seen, so what clicks don't judge is not used.
        return found.topics, found.qrels, False
    if topics is not None and qrels is not None:
        return dict(read_topics(topics)), read_qrels(qrels), True
    raise ConfigurationError(
        "half of the judgements is missing.",
        remedy="Give --topics with --qrels, or --click-queries with --click-events.",
    )
