"""A step of the text pipeline."""

import rlenv


class NoShoutingSettings(rlenv.Settings):
    """most: the largest share of capital letters."""

    most: float = 0.5


@rlenv.register_text_filter("no_shouting")
class NoShouting(rlenv.TextFilter[NoShoutingSettings]):
    """Drop documents that are mostly capital letters."""

    Settings = NoShoutingSettings

    def reasons(self, document):
        letters = [c for c in document.text if c.isalpha()]
        if sum(c.isupper() for c in letters) > self.settings.most * max(1, len(letters)):
            yield "shouting"
