"""acexp: experiments with actor-critic methods, from one config to a trained, comparable run."""
