"""What stands in an HTML file."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """What a browser would find in a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.source = path.read_text("utf-8")
        self.tags, self.text, self.handlers = [], [], []
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.handlers += [name for name in attributes if name.startswith("on")]

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())
