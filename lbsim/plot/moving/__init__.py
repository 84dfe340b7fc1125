"""Pictures that move: requests on their way, in the browser."""

from lbsim.plot.moving.animation import Animation, animate

__all__ = ["Animation", "animate"]
