"""The stages through which a row of the web becomes a pair, in the order of `web.pairs_web`."""
