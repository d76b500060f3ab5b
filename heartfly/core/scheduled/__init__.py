"""Jobs as the machines have them on which they run: crontabs, timers, CronJobs, workflows. Texts in, jobs out.

found.py says what a job is, and which check it would have; a file a source reads it; tell.py words how it tells
Heartfly that it ran, and drift.py how jobs and checks differ.
"""
