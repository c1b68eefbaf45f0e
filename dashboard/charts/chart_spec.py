"""An Altair chart, once made, as Streamlit sends it: kept, it costs nothing to show again."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import pyarrow as pa

from trainer.charts.style import styled

MANY = 500  # rows of a chart that are painted together, not each as a node with a name to be read out
ROOM = {"left": 3, "top": 4, "right": 4}  # pixels, for labels that stand out; what lies below is Streamlit's
TABLES = "headroom"  # our data transformer, as Altair knows it
_altair_settings = threading.Lock()  # theme and data transformer are the whole process's


class Drawing(NamedTuple):
    """A Vega-Lite specification whose tables are Arrow streams. Shared between readers: never changed."""

    spec: dict[str, Any]

    def whole(self) -> dict[str, Any]:
        """The specification with its tables inside."""
        tables = {
            name: json.loads(pa.ipc.open_stream(data).read_pandas().to_json(orient="records"))
            for name, data in self.spec["datasets"].items()
        }
        return {**self.spec, "datasets": tables}

    def standalone(self) -> bytes:
        """`whole` as a file."""
        return json.dumps(self.whole()).encode()


def side_by_side(drawings: list[Drawing], *, columns: int) -> Drawing:
    """Several as one, to take along."""
    tables = {name: table for one in drawings for name, table in one.spec["datasets"].items()}
    # what Vega-Lite has no place for in a part
    outermost = ("datasets", "$schema", "config", "usermeta", "autosize", "padding")
    inner = [{k: v for k, v in one.spec.items() if k not in outermost} for one in drawings]
    return Drawing(
        {"$schema": drawings[0].spec["$schema"], "datasets": tables, "concat": inner, "columns": columns}
    )


def drawing(figure: alt.TopLevelMixin) -> Drawing:
    """Write a chart down.

    Altair's check against the schema of Vega-Lite, half of the time of ``st.altair_chart``, is left to the
    tests: a chart that they have drawn is right for other rows, too.
    """
    tables: dict[str, bytes] = {}
    rows: dict[str, int] = {}
    alt.data_transformers.register(TABLES, _as_arrow)
    with (
        _altair_settings,
        alt.theme.enable("none"),
        alt.data_transformers.enable(TABLES, tables=tables, rows=rows),
    ):
        spec = styled(figure.to_dict(validate=False))
    spec["padding"] = {**ROOM, **spec.get("padding", {})}
    if sum(rows.values()) > MANY:
        spec.setdefault("usermeta", {})["embedOptions"] = {"renderer": "canvas"}
        spec.setdefault("config", {})["aria"] = False
    return Drawing({**spec, "datasets": {**spec.get("datasets", {}), **tables}})


def _as_arrow(data: Any, tables: dict[str, bytes], rows: dict[str, int]) -> dict[str, str]:
    """Altair's data transformer: the table goes aside under a name that says what is in it."""
    table = pa.Table.from_pandas(pd.DataFrame(data), preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content = sink.getvalue().to_pybytes()
    name = hashlib.blake2b(content, digest_size=16).hexdigest()
    tables[name], rows[name] = content, len(table)
    return {"name": name}
