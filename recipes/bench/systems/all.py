"""All systems by name, nmt first."""

from bench.systems import System
from bench.systems.fairseq import Fairseq
from bench.systems.joeynmt import JoeyNmt
from bench.systems.marian import Marian
from bench.systems.nmt import Nmt
from bench.systems.opennmt import OpenNmt

_ALL: tuple[System, ...] = (Nmt(), Fairseq(), OpenNmt(), JoeyNmt(), Marian())
SYSTEMS = {system.name: system for system in _ALL}
