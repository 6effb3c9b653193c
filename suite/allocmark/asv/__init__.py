# SPDX-License-Identifier: BSD-3-Clause
"""The adapter to airspeed velocity (asv): run it, read and compare what it stored, publish it as a site.

Works with an installed allocmark, on any repository. `recipe_environment` and `recipe_benchmarks` measure the commits
of one with an allocmark.toml. How this repository's commits are installed for asv is in `suite/asv_environment`, what
is measured of them in `suite/benchmarks`.
"""
