"""The figures of quality_figures by pandas: the same checks and the same profile of every column, from the same file."""
import sys
import time

import pandas as pd

started, processor = time.perf_counter(), time.process_time()
table = pd.read_csv(sys.argv[1])
read = time.perf_counter() - started
names = list(table.columns)
numbers = table.select_dtypes("number")
figures = {
    "nulls": table.isna().sum(),
    "distinct": table.nunique(),
    "min": numbers.min(),
    "max": numbers.max(),
    "sum": numbers.sum(),
    "mean": numbers.mean(),
    "deviation": numbers.std(),
    "quantiles": numbers.quantile([0.05, 0.25, 0.5, 0.75, 0.95]),
    "frequent": {name: table[name].value_counts().head(5) for name in names},
}
key = ["year", "month", "day", "sched_dep_time", "carrier", "flight"]
unique = (~table.duplicated(key, keep=False)).sum()
in_range = (table["dep_delay"].between(-60, 1500) | table["dep_delay"].isna()).sum()
known = table["origin"].isin(["EWR", "JFK", "LGA"]).sum()
ordered = ((table["hour"] <= 23) & (table["air_time"] <= table["distance"])).sum()
moments = pd.to_datetime(table["time_hour"])
latest = moments.max()
wall, processor = time.perf_counter() - started, time.process_time() - processor
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
print(wall, processor, peak, read, len(table), unique, figures["distinct"]["tailnum"])
