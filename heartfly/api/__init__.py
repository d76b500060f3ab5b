"""The doors that speak HTTP: pings, the native API, health. They decide nothing."""
