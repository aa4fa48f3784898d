"""A small network that runs in the page: a reader moves it, a worker computes."""

from lab.directive import setup

__all__ = ["setup"]
