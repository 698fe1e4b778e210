"""The figures of a table by pandas, as JSON: what `quality` must say too. Arguments: the file, then the columns of a key."""
import json
import sys

import pandas as pd

table = pd.read_csv(sys.argv[1])
key = sys.argv[2:]
columns = {}
for name in table.columns:
    column = table[name]
    figures = {"nulls": int(column.isna().sum()), "distinct": int(column.nunique())}
    figures["frequent"] = sorted((int(count) for count in column.value_counts().head(5)), reverse=True)
    if pd.api.types.is_numeric_dtype(column):
        figures["numbers"] = {
            "count": int(column.count()),
            "min": float(column.min()),
            "max": float(column.max()),
            "sum": float(column.sum()),
            "mean": float(column.mean()),
            "deviation": float(column.std()),
            "quantiles": [float(column.quantile(share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95)],
            "whole": int((column.dropna() % 1 == 0).sum()),
            "positive": int((column > 0).sum()),
        }
    columns[name] = figures
known = table.dropna(subset=key)
print(
    json.dumps(
        {
            "records": len(table),
            "columns": columns,
            "with_key": len(known),
            "once": int((~known.duplicated(key, keep=False)).sum()),
            "keys": int((~known.duplicated(key)).sum()),
        }
    )
)
