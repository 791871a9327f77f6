"""The language that controller and agent both speak: names, messages, trust, sketches. No I/O."""

__version__ = "0.1.0"
