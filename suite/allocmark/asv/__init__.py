# SPDX-License-Identifier: BSD-3-Clause
"""The adapter to airspeed velocity (asv): run it, read and compare what it stored, publish it as a site.

Works with an installed allocmark, on any repository. How this repository's commits are installed for asv is in
`suite/asv_environment`, what is measured of them in `suite/benchmarks`.
"""
