"""Write the data's own table with corrected labels, to a new file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.core import atomic
from trainer.core.console import say
from trainer.core.corrections import Action, Correction, latest, read
from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.experiments.checking.config import CheckConfig

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest

FLAG = "--corrected-table"


def check_corrected_table(config: CheckConfig) -> None:
    """Raise InputError where no corrected table can be written; see `write_corrected_table`."""
    path = config.corrected_table
    if path is None:
        return
    if config.corrections is None:
        raise InputError(f"{FLAG} writes the labels of --corrections, and there are none. Pass their file.")
    source = _source(config)
    if path.suffix.lower() != source.suffix.lower():
        raise InputError(f"{FLAG} {path} must end in {source.suffix}, as {source} does.")
    if path.exists():
        raise InputError(f"{FLAG} {path} exists, and no file is replaced. Pass a new name.")
    atomic.check_output(path, FLAG, inputs=[source])


def write_corrected_table(config: CheckConfig, manifest: Manifest) -> None:
    """Write the table with corrected labels, if that was asked for. Test rows as --correct-test says.

    Args:
        manifest: the rows, corrected.

    Raises:
        InputError: the data has no table with its labels.
    """
    if config.corrected_table is None or config.corrections is None:
        return
    from trainer.data import metadata, table
    from trainer.data.table_columns import ColumnChoice

    source = _source(config)
    chosen = ColumnChoice(
        config.image_column, config.label_column, config.caption_column, config.group_column
    )
    if Path(config.data).expanduser().is_dir():
        found, ids, column = metadata.located(source, chosen)
    else:
        found, ids, column = table.located(source, chosen, name=config.data)
    if column is None or len(set(found.names)) < len(found.names):
        why = "has no label column" if column is None else "has two columns of one name"
        raise InputError(f"{source} {why}, so its labels cannot be corrected in it. Drop {FLAG}.")
    done = _applied(latest(read(config.corrections)), manifest, test_too=config.correct_test)
    labels = _new_labels(found.values(column), ids, done, manifest)
    kept = [row for row, name in enumerate(ids) if name not in done or done[name].action is not Action.DROP]
    write = {".parquet": _parquet, ".jsonl": _json_lines}.get(source.suffix.lower(), _separated)
    atomic.write_output(config.corrected_table, write(source, found, column, labels, kept), FLAG)
    changed = sum(one.action is Action.RELABEL for one in done.values())
    say(
        f"{config.corrected_table}: {count(len(kept), 'row')} of {source}, {changed:,} relabelled, "
        f"{len(ids) - len(kept):,} dropped."
    )


def _source(config: CheckConfig) -> Path:
    """Return the table that has the labels. Raises InputError where there is none."""
    from trainer.data import metadata, table

    path = Path(config.data).expanduser()
    if path.is_file() and path.suffix.lower() in table.SUFFIXES:
        return path
    found = [path / name for name in metadata.NAMES if (path / name).is_file()]
    if len(found) != 1:
        raise InputError(
            f"{config.data} is neither a table nor a folder with one metadata file, so there is no table of "
            f"labels to correct. {config.corrections} itself is one: pass it with --corrections."
        )
    return found[0]


def _applied(wanted: dict[str, Correction], manifest: Manifest, *, test_too: bool) -> dict[str, Correction]:
    """Return the corrections without those of test rows, if these stay as they are. Dropped rows are no more
    in the manifest, and test rows are only dropped with ``test_too``."""
    test = (
        set()
        if test_too
        else {
            name for name, split in zip(manifest.sample_id, manifest.split_n, strict=True) if split == "test"
        }
    )
    return {name: one for name, one in wanted.items() if name not in test}


def _new_labels(
    values: Sequence[Any], ids: Sequence[str], done: dict[str, Correction], manifest: Manifest
) -> list[Any]:
    """Return the label column. A class is written as in the rows that have it, such as by its number."""
    label_of = dict(zip(manifest.sample_id, manifest.label_n.tolist(), strict=True))
    written: dict[str, Counter[Any]] = defaultdict(Counter)
    for value, name in zip(values, ids, strict=True):
        if name not in done and label_of.get(name, -1) >= 0:
            written[manifest.classes[label_of[name]]][value] += 1
    usual = {name: found.most_common(1)[0][0] for name, found in written.items()}
    return [
        usual.get(done[name].new, done[name].new)
        if name in done and done[name].action is Action.RELABEL
        else value
        for value, name in zip(values, ids, strict=True)
    ]


def _parquet(source: Path, found: Any, column: str, labels: list[Any], kept: list[int]) -> bytes:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    table = parquet.read_table(source)
    place = table.schema.get_field_index(column)
    new = arrow.array(labels, type=table.schema.field(place).type)
    buffer = io.BytesIO()
    parquet.write_table(table.set_column(place, table.schema.field(place), new).take(kept), buffer)
    return buffer.getvalue()


def _json_lines(source: Path, found: Any, column: str, labels: list[Any], kept: list[int]) -> bytes:
    lines = [line for line in source.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    rows = [{**json.loads(lines[row]), column: labels[row]} for row in kept]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _separated(source: Path, found: Any, column: str, labels: list[Any], kept: list[int]) -> bytes:
    """In UTF-8, with commas or, of a .tsv, tabs."""
    columns = [labels if name == column else found.values(name) for name in found.names]
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, delimiter="\t" if source.suffix.lower() == ".tsv" else ",", lineterminator="\n"
    )
    writer.writerow(found.names)
    writer.writerows([cells[row] for cells in columns] for row in kept)
    return buffer.getvalue().encode()
