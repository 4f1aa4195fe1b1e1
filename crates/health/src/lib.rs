//! Health checks: probes, judges, schedules.
