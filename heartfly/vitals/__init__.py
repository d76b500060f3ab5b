"""How Heartfly itself does, as others see it: a probe, Prometheus, a heartbeat service outside.

readiness.py says whether traffic should come here, heartbeat.py calls somebody who would notice our own silence,
surroundings.py looks at the disk and the schema, gauges.py reads the state that is exposed as metrics.
"""
