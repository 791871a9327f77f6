"""Every payload that crosses between controller and device, defined once.

JSON where people read (desired, reported, events, cards, enrolment), MessagePack for telemetry. Unknown fields are
ignored, so a newer sender is understood; an unknown `schema` is refused by its number. New fields have defaults and a
field never changes its meaning: tests/unit/shared/corpus keeps bytes of every version that must still decode.
"""
