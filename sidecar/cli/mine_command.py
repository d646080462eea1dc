"""`sidecar mine`: write labelled candidate lists with hard negatives, from an index and judgements or clicks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.first_stages import SEARCHED, open_stage
from sidecar.cli.long_run import keep_finished, keep_inputs
from sidecar.cli.options import BM25, FIELDS, OPENSEARCH, PYSERINI, RM3, TOPICS, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

CLICKS_PANEL = "Instead of --topics and --qrels"


CLICKS = Condition(
    ("click_action",), lambda mode: mode.click_events is not None, "there are no clicks (--click-events)"
)


@command(
    "mine", example="sidecar mine --topics queries.tsv --qrels qrels.txt --index indexes/docs --output train.jsonl"
)
@takes(*BM25, *RM3, *FIELDS, *PYSERINI, *OPENSEARCH, conditions=(*SEARCHED, CLICKS), opensearch_url="--url")
def mine_command(
    index: Annotated[str, typer.Option(help="Directory or name of a Lucene index, or name of an OpenSearch index.")],
    output: Annotated[
        Path,
        typer.Option(dir_okay=False, help="Labelled candidate lists to write; .gz, .zst, .bz2 and .xz are compressed."),
    ],
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine of the index. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    topics: Annotated[Path | None, typer.Option(help=f"Queries: {TOPICS}.")] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements; a hit without one counts as irrelevant.")
    ] = None,
    click_queries: Annotated[
        Path | None,
        typer.Option(help="Documents of the index ubi_queries, as JSON lines.", rich_help_panel=CLICKS_PANEL),
    ] = None,
    click_events: Annotated[
        Path | None,
        typer.Option(help="Documents of the index ubi_events, as JSON lines.", rich_help_panel=CLICKS_PANEL),
    ] = None,
    click_action: Annotated[
        str, typer.Option(help="action_name of an event that counts as a click.", rich_help_panel=CLICKS_PANEL)
    ] = "click",
    corpus: Annotated[
        Path | None,
        typer.Option(help="Corpus with the texts of relevant documents that the first stage does not find."),
    ] = None,
    negatives: Annotated[
        int, typer.Option(min=1, max=1000, help="Largest number of irrelevant passages of a query.")
    ] = 30,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Hits of the first stage for each query.")] = 100,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads for the first stage.")] = 1,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    settings: Settings,
) -> None:
    """Write training data: relevant passages, and hard negatives that BM25 ranks high."""
    from sidecar.core.atomic_write import atomic_write
    from sidecar.training.mining import Mined, mine, texts_of

    keep_finished(output, force=force)
    sources = (topics, qrels, click_queries, click_events, corpus)
    keep_inputs(output, [path for path in sources if path is not None])
    with working("reading queries and judgements"):
        asked, judged, unjudged = _judgements(topics, qrels, click_queries, click_events, click_action)
    wanted = {docid for grades in judged.values() for docid in grades}
    with working(f"reading {corpus}"):
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
        say("Give --corpus to add the relevant documents that the first stage did not find.")


def _judgements(
    topics: Path | None, qrels: Path | None, click_queries: Path | None, click_events: Path | None, click_action: str
) -> tuple[dict[str, str], Mapping[str, Mapping[str, int]], bool]:
    """Return queries by id, their grades, and whether a hit without judgement counts as irrelevant."""
    from sidecar.experiments.qrels import read_qrels
    from sidecar.experiments.topics import read_topics
    from sidecar.training.clicks import read_clicks

    by_clicks = click_queries is not None or click_events is not None
    if by_clicks == (topics is not None or qrels is not None):
        raise ConfigurationError(
            "mining needs either judgements or clicks.",
            remedy="Give --topics and --qrels, or --click-queries and --click-events.",
        )
    if click_queries is not None and click_events is not None:
        found = read_clicks(click_queries, click_events, action=click_action)
        strange = f", {found.unknown} events of unknown queries" if found.unknown else ""
        say(f"{found.searches} searches with a click, {len(found.topics)} different queries{strange}")
        # Nobody knows which hits below the last click were seen, so hits that clicks don't judge are not used.
        return found.topics, found.qrels, False
    if topics is not None and qrels is not None:
        return dict(read_topics(topics)), read_qrels(qrels), True
    raise ConfigurationError(
        "one of two files is missing.",
        remedy="Give --topics with --qrels, or --click-queries with --click-events.",
    )
