"""Videos of an episode that the policy of a trained run plays."""

from acexp.video.film import FORMATS, Film, FilmOptions, film, possible_formats

__all__ = ["FORMATS", "Film", "FilmOptions", "film", "possible_formats"]
