"""A page of HTML as a browser would have it."""

import json
from html.parser import HTMLParser


class Read(HTMLParser):
    """The page as a browser understands it: elements with attributes, scripts, and the text people see."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts, self.words, self.within = [], [], [], []
        self.feed(page)
        self.close()
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.within.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self.within and self.within.pop() != tag:
            pass

    def handle_data(self, data):
        if self.within and self.within[-1] == "script":
            self.scripts[-1] += data
        elif "style" not in self.within:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def charts(self):
        """Charts by their names, as the page's script would read them."""
        names = [attrs["data-chart"] for attrs in self.all("div") if "data-chart" in attrs]
        data = {
            attrs["id"]: json.loads(text)
            for text, attrs in zip(self.scripts, self.all("script"), strict=True)
            if attrs
        }
        self.choices = data.pop("choices", None)
        assert list(data) == names
        return data
