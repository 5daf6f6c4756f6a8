"""Layer 5: an episode of a trained run, to look at."""

from acexp.video.film import FORMATS, Film, film, possible_formats

__all__ = ["FORMATS", "Film", "film", "possible_formats"]
