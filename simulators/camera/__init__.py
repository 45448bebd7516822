"""A simulated entrance camera: pictures of people who walk in and out, and the truth of who crossed the line.

Everything is a pure function of a seed and of store time: the same second shows the same picture in every process,
and no picture is ever stored. The figures come out of a photograph inside an installed package, so that a real
detector sees real pixels.
"""

from simulators.camera.source import SimulatedCamera, open_source
from simulators.camera.walkers import Crossing, Plan, Visit

__all__ = ["Crossing", "Plan", "SimulatedCamera", "Visit", "open_source"]
