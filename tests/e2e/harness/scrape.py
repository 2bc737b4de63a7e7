"""Reads Prometheus text and OpenMetrics, strictly: what a scraper might refuse is an error here."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:{{(.*)}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SUFFIXES = {
    "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",),
    "gauge": ("",), "stateset": ("",),
}


class Scrape:
    """The samples of one text: by name, and by name and labels."""

    def __init__(self, text, openmetrics=False):
        self.types = {}
        self.helps = {}
        self.samples = {}  # (name, labels sorted) -> value
        self._open = openmetrics
        self._family = None
        assert text.endswith("\n"), "the last line has no end"
        lines = text[:-1].split("\n")
        if openmetrics:
            assert lines.pop() == "# EOF", "OpenMetrics ends with # EOF"
        for line in lines:
            self._line(line)
        for name in [name for name, kind in self.types.items() if kind == "histogram"]:
            self._check_histogram(name)

    def _line(self, line):
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert re.fullmatch(NAME, name), line
            if word == "HELP":
                assert name not in self.helps, f"two heads: {line}"
                assert rest and rest == rest.strip(), line
                self.helps[name] = rest
            elif word == "TYPE":
                assert name in self.helps and name not in self.types, line
                self.types[name] = rest
                self._family = name
            else:
                assert word == "UNIT" and self._open, line
                assert name == self._family and name.endswith("_" + rest), line
            return
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line}"
        name, labels, value = match.groups()
        self._belongs(name)
        key = (name, tuple(sorted(self._labels(labels or "").items())))
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(value)

    def _belongs(self, name):
        family, kind = self._family, self.types[self._family]
        ends = SUFFIXES[kind]
        if kind == "counter" and not self._open:
            ends = ("",)
            assert family.endswith("_total"), family
        if kind == "gauge" and not self._open:
            ends = ("",)
        assert name in [family + end for end in ends], f"{name} stands among {family}"

    @staticmethod
    def _labels(text):
        labels = {}
        at = 0
        while at < len(text):
            match = LABEL.match(text, at)
            assert match, f"no label: {text[at:]}"
            assert match[1] not in labels, text
            labels[match[1]] = match[2].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
            at = match.end()
        return labels

    def _check_histogram(self, name):
        rows = {}
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                labels = dict(labels)
                le = float(labels.pop("le"))
                rows.setdefault(tuple(sorted(labels.items())), []).append((le, value))
        assert rows, name
        for labels, buckets in rows.items():
            assert buckets == sorted(buckets), f"{name}: out of order"
            counts = [count for _, count in buckets]
            assert counts == sorted(counts), f"{name}: not cumulative"
            assert buckets[-1][0] == float("inf"), name
            assert buckets[-1][1] == self.samples[(name + "_count", labels)], name
            assert (name + "_sum", labels) in self.samples, name

    def get(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def names(self):
        return {name for name, _ in self.samples}

    def label_values(self):
        return {value for _, labels in self.samples for _, value in labels}

    def state(self, name, context):
        """The one state that is set."""
        found = [dict(labels)[name] for (sample, labels), value in self.samples.items()
                 if sample == name and dict(labels)["context"] == context and value == 1]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]
