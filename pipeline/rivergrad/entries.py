"""rivergrad's own parts: the one place where each of their names stands (see `rivergrad.registry`)."""

from __future__ import annotations

from rivergrad.registry import Entry, Option

_SCHEMES = "rivergrad.routing.schemes"
_LOSS = "rivergrad.inference.loss"
_CLUSTERS = "rivergrad.cluster.clusters"
_FORMATS = "rivergrad.io.formats"
_NETWORKS = "rivergrad.io.networks"
_OBSERVED = "rivergrad.io.observed"
_EXPORTERS = "rivergrad.io.exporters"
_MODELS = "rivergrad.model.kinds"
_PANELS = "rivergrad.report.panels"
_FIELDS = "rivergrad.report.fields"

BUILT_IN: tuple[Entry, ...] = (
    Entry("scheme", "pure_lag", "Translation: discharge is inflow, later.", f"{_SCHEMES}.lag:PureLag"),
    Entry(
        "scheme",
        "linear_storage",
        "One linear storage: outflow is storage over its residence time.",
        f"{_SCHEMES}.storage:LinearStorage",
    ),
    Entry(
        "scheme",
        "nash_cascade",
        "Linear storages in series (Nash 1957).",
        f"{_SCHEMES}.storage:NashCascade",
        (Option("n", "integer", 3, "The number of storages."),),
    ),
    Entry(
        "scheme",
        "muskingum",
        "Storage between inflow and outflow (McCarthy 1938), or RAPID's variant of it.",
        f"{_SCHEMES}.muskingum:Muskingum",
        (
            Option("convention", "standard or rapid", "standard", "rapid: as RAPID updates and averages."),
            Option("cap_x", "true or false", False, "Take the largest x that leaves no response negative."),
        ),
        {"spreading": "x", "spreading_limit": 0.5},
    ),
    Entry(
        "scheme",
        "hayami",
        "The diffusive wave with constant celerity and diffusivity (Hayami 1951).",
        f"{_SCHEMES}.hayami:Hayami",
        (),
        {"spreading": "diffusivity"},
    ),
    Entry(
        "loss", "nse", "1 - NSE: mean squared error over the variance of the record.", f"{_LOSS}.squared:nse"
    ),
    Entry(
        "loss",
        "nnse",
        "1 - 1/(2 - NSE), which no gauge with wrong runoff can dominate.",
        f"{_LOSS}.squared:nnse",
    ),
    Entry("loss", "kge", "1 - KGE: correlation, variability and volume.", f"{_LOSS}.shape:kge"),
    Entry(
        "loss", "log_nse", "1 - NSE of logarithms: low flow counts as high flow.", f"{_LOSS}.squared:log_nse"
    ),
    Entry("loss", "huber", "1 - NSE, but large residuals count linearly.", f"{_LOSS}.robust:huber"),
    Entry(
        "loss",
        "student_t",
        "1 - NSE, but large residuals count logarithmically.",
        f"{_LOSS}.robust:student_t",
        (Option("nu", "number", 4.0, "Degrees of freedom: the fewer, the less large residuals count."),),
    ),
    Entry("loss", "timing", "1 - correlation, blind to volume and scale.", f"{_LOSS}.shape:timing"),
    Entry(
        "optimiser",
        "adam",
        "Draws windows for every step, for any size and any loss.",
        "rivergrad.run.optimisers:AdamOptimiser",
        (),
        {"learns_runoff": True},
    ),
    Entry(
        "optimiser",
        "gauss_newton",
        "Goes over all of the training time, with a Gaussian prior and few steps.",
        "rivergrad.run.optimisers:GaussNewtonOptimiser",
        (),
        {"least_squares": True},
    ),
    Entry(
        "parameter_model",
        "uniform",
        "One celerity for all reaches.",
        f"{_MODELS}:Uniform",
        (),
        {"trend": "none", "regions": "none", "travels": True},
    ),
    Entry(
        "parameter_model",
        "free",
        "Every reach on its own.",
        f"{_MODELS}:Free",
        (),
        {"trend": "none", "regions": "none"},
    ),
    Entry(
        "parameter_model",
        "regional",
        "One value for each class of reaches.",
        f"{_MODELS}:Regional",
        (),
        {"trend": "none", "regions": "must"},
    ),
    Entry(
        "parameter_model",
        "attributes",
        "A function of reach attributes.",
        f"{_MODELS}:Attributes",
        (),
        {"trend": "must", "regions": "none", "travels": True},
    ),
    Entry(
        "parameter_model",
        "hybrid",
        "A function of reach attributes, and a deviation of every reach.",
        f"{_MODELS}:Hybrid",
        (),
        {"trend": "may", "regions": "none", "travels": True},
    ),
    Entry(
        "runoff_model",
        "lstm",
        "A long short-term memory network of the forcings.",
        "rivergrad.runoff.lstm:Lstm",
    ),
    Entry(
        "runoff_model", "hbv", "The conceptual model HBV, its parameters learned.", "rivergrad.runoff.hbv:Hbv"
    ),
    Entry(
        "runoff_model",
        "correction",
        "A learned factor on given runoff.",
        "rivergrad.runoff.correction:Correction",
        (),
        {"needs_given": True},
    ),
    Entry("cluster", "serial", "This process.", f"{_CLUSTERS}.serial:start", (), {"workers": "none"}),
    Entry(
        "cluster",
        "local",
        "Worker processes of this machine.",
        f"{_CLUSTERS}.local:start",
        (),
        {"workers": "any"},
    ),
    Entry(
        "cluster",
        "cuda",
        "Worker processes of this machine, one a GPU.",
        f"{_CLUSTERS}.cuda:start",
        (),
        {"workers": "all"},
    ),
    Entry(
        "cluster",
        "slurm",
        "Jobs of a Slurm queue, one a worker.",
        f"{_CLUSTERS}.slurm:start",
        (),
        {"workers": "some", "own_jobs": True},
    ),
    Entry(
        "cluster",
        "mpi",
        "The ranks of an MPI job, one a worker.",
        f"{_CLUSTERS}.mpi:start",
        (),
        {"workers": "all", "ranks": True},
    ),
    Entry("format", "geoglows", "Model tables of GEOGLOWS v2.", f"{_NETWORKS}.tdx:GEOGLOWS"),
    Entry("format", "tdx", "Lines of TDX-Hydro.", f"{_NETWORKS}.tdx:TDX"),
    Entry("format", "merit", "MERIT-Basins.", f"{_NETWORKS}.merit:MERIT"),
    Entry("format", "hydrorivers", "HydroRIVERS.", f"{_NETWORKS}.hydrorivers:HYDRORIVERS"),
    Entry("format", "hdma", "Segments of HDMA.", f"{_NETWORKS}.hydrorivers:HDMA"),
    Entry("format", "hydrofabric", "NextGen hydrofabric 2.0 to 2.2.", f"{_NETWORKS}.hydrofabric:HYDROFABRIC"),
    Entry("format", "nwm", "Route_Link of the National Water Model.", f"{_NETWORKS}.nwm:NWM"),
    Entry("format", "mizuroute", "Network topology of mizuRoute.", f"{_NETWORKS}.mizuroute:MIZUROUTE"),
    Entry("format", "mosart", "Parameters of MOSART.", f"{_NETWORKS}.mosart:MOSART"),
    Entry("format", "basinmaker", "Lines of BasinMaker.", f"{_NETWORKS}.raven:BASINMAKER"),
    Entry("format", "raven", "Subbasins and HRUs of Raven, .rvh.", f"{_NETWORKS}.raven:RVH"),
    Entry("format", "river_route", "Parameters of river-route 2.", f"{_NETWORKS}.folders:RIVER_ROUTE"),
    Entry(
        "format",
        "river_route_1",
        "Tables of river-route 1.",
        f"{_NETWORKS}.folders:RIVER_ROUTE_1",
    ),
    Entry("format", "rapid2", "Tables of RAPID 2.", f"{_NETWORKS}.folders:RAPID2"),
    Entry("format", "diffroute", "Parameters and edges of DiffRoute.", f"{_NETWORKS}.folders:DIFFROUTE"),
    Entry("format", "wflow", "Static maps of Wflow.", f"{_NETWORKS}.wflow:WFLOW"),
    Entry("format", "cama", "Maps of CaMa-Flood.", f"{_NETWORKS}.cama:CAMA"),
    Entry("format", "d8", "A raster of D8 flow directions.", f"{_NETWORKS}.rasters:D8_RASTER"),
    Entry("format", "ldd", "A raster of local drain directions.", f"{_NETWORKS}.rasters:LDD_RASTER"),
    Entry(
        "format",
        "table",
        "A network in a table of any container, by its columns.",
        f"{_NETWORKS}.plain:ANY_TABLE",
    ),
    Entry("format", "usgs_rdb", "Discharge of the USGS, as tabs.", f"{_OBSERVED}.usgs_rdb:UsgsRdb"),
    Entry("format", "waterml_json", "Discharge of the USGS, as JSON.", f"{_OBSERVED}.waterml:WaterMlJson"),
    Entry("format", "waterml2", "WaterML 2.0, as XML.", f"{_OBSERVED}.waterml:WaterMl2"),
    Entry("format", "grdc", "A station of the GRDC, as text.", f"{_OBSERVED}.grdc:GrdcText"),
    Entry("format", "grdc_netcdf", "Stations of the GRDC in NetCDF.", f"{_OBSERVED}.grdc:GrdcNetcdf"),
    Entry("format", "camels_us", "A gauge of CAMELS-US, as text.", f"{_OBSERVED}.camels:CamelsUs"),
    Entry("format", "caravan", "Gauges of Caravan, CSV or NetCDF.", f"{_OBSERVED}.caravan:Caravan"),
    Entry("format", "geoglows_gauge", "A gauge of GEOGLOWS, CSV.", f"{_OBSERVED}.gaugecsv:GeoglowsCsv"),
    Entry("format", "lamah", "A gauge of LamaH, CSV.", f"{_OBSERVED}.gaugecsv:LamaH"),
    Entry("format", "estreams", "Gauges of EStreams, CSV.", f"{_OBSERVED}.gaugecsv:EStreams"),
    Entry("format", "wflow_csv", "Discharge that Wflow writes, CSV.", f"{_OBSERVED}.gaugecsv:WflowCsv"),
    Entry("format", "raven_rvt", "Raven's :ObservationData.", f"{_OBSERVED}.raven:RavenRvt"),
    Entry(
        "format",
        "station_netcdf",
        "Discharge of stations in NetCDF, as Raven and Wflow have it.",
        f"{_OBSERVED}.raven:StationNetcdf",
    ),
    Entry("format", "rapid_qout", "Discharge that RAPID computed.", f"{_OBSERVED}.qout:RapidQout"),
    Entry("format", "csv", "Tables of text, also gzipped.", f"{_FORMATS}:CSV"),
    Entry("format", "parquet", "Tables in columns.", f"{_FORMATS}:PARQUET"),
    Entry("format", "netcdf", "Arrays with dimensions and units, a file.", f"{_FORMATS}:NETCDF"),
    Entry("format", "rapid", "A folder with rapid_connect.csv.", f"{_FORMATS}:RAPID"),
    Entry("format", "zarr", "Arrays with dimensions and units, a folder of chunks.", f"{_FORMATS}:ZARR"),
    Entry(
        "exporter",
        "csv",
        "CSV with units and provenance beside it.",
        f"{_EXPORTERS}.tables:Csv",
        (),
        {"endings": (".csv", ".csv.gz")},
    ),
    Entry(
        "exporter",
        "parquet",
        "Parquet with units and provenance.",
        f"{_EXPORTERS}.tables:Parquet",
        (),
        {"endings": (".parquet", ".pq")},
    ),
    Entry(
        "exporter", "netcdf", "NetCDF by CF-1.11.", f"{_EXPORTERS}.arrays:Netcdf", (), {"endings": (".nc",)}
    ),
    Entry(
        "exporter",
        "zarr",
        "The same in a Zarr store.",
        f"{_EXPORTERS}.arrays:ZarrStore",
        (),
        {"endings": (".zarr",)},
    ),
    Entry("exporter", "rapid", "RAPID's folder of CSV.", f"{_EXPORTERS}.rapid:Rapid", (), {"endings": ()}),
    Entry(
        "exporter",
        "rapid2",
        "RAPID 2's tables in Parquet.",
        f"{_EXPORTERS}.parquets:Rapid2",
        (),
        {"endings": ()},
    ),
    Entry(
        "exporter",
        "river_route",
        "river-route's parameters in Parquet.",
        f"{_EXPORTERS}.parquets:RiverRoute",
        (),
        {"endings": ()},
    ),
    Entry(
        "exporter", "diffroute", "DiffRoute's folder.", f"{_EXPORTERS}.rapid:DiffRoute", (), {"endings": ()}
    ),
    Entry(
        "exporter",
        "geopackage",
        "Lines or points for GIS.",
        f"{_EXPORTERS}.vector:GeoPackage",
        (),
        {"endings": (".gpkg",)},
    ),
    Entry(
        "exporter",
        "geoparquet",
        "The same in Parquet.",
        f"{_EXPORTERS}.vector:GeoParquet",
        (),
        {"endings": (".geoparquet",)},
    ),
    Entry(
        "exporter",
        "shapefile",
        "The same as a folder with a shapefile.",
        f"{_EXPORTERS}.vector:Shapefile",
        (),
        {"endings": ()},
    ),
    Entry(
        "exporter",
        "geotiff",
        "Bands of a grid, for reaches that are its cells.",
        f"{_EXPORTERS}.raster:GeoTiff",
        (),
        {"endings": (".tif", ".tiff")},
    ),
    Entry(
        "exporter",
        "routelink",
        "Route_Link of the National Water Model.",
        f"{_EXPORTERS}.routelink:RouteLink",
        (),
        {"endings": ()},
    ),
    Entry(
        "exporter",
        "mizuroute",
        "mizuRoute's network.",
        f"{_EXPORTERS}.mizuroute:MizuRoute",
        (),
        {"endings": ()},
    ),
    Entry("panel", "celerity", "The map of the estimated celerity.", f"{_PANELS}:celerity"),
    Entry(
        "panel", "identifiability", "The map of how much the observations told.", f"{_PANELS}:identifiability"
    ),
    Entry("panel", "uncertainty", "The map of how sure the celerity is.", f"{_PANELS}:uncertainty"),
    Entry(
        "panel",
        "skill",
        "Maps of skill at gauges and of the gain over a uniform celerity.",
        f"{_PANELS}:skill",
    ),
    Entry(
        "panel", "hydrographs", "Observed and simulated discharge at some gauges.", f"{_PANELS}:hydrographs"
    ),
    Entry("panel", "training", "The course of the training.", f"{_PANELS}:training"),
    Entry("panel", "truth", "The estimate against the true celerity, for twins.", f"{_PANELS}:truth"),
    Entry(
        "panel", "coverage", "How often intervals hold the true celerity, for twins.", f"{_PANELS}:coverage"
    ),
    Entry("field", "celerity", "The estimated celerity, with its interval.", f"{_FIELDS}:celerity"),
    Entry("field", "interval", "How wide the interval of the celerity is.", f"{_FIELDS}:interval_width"),
    Entry("field", "identifiability", "How much the observations told.", f"{_FIELDS}:identifiability"),
    Entry("field", "gauge_value", "What a gauge at each reach would tell.", f"{_FIELDS}:gauge_value"),
    Entry("field", "travel_time", "Travel time of a wave to the outlet.", f"{_FIELDS}:travel_time"),
    Entry("field", "residence_time", "The residence time of lakes.", f"{_FIELDS}:residence_time"),
    Entry("field", "k", "The storage constant of Muskingum.", f"{_FIELDS}:k"),
    Entry(
        "field",
        "hillslope_delay",
        "The delay of runoff on hillslopes, with its interval.",
        "rivergrad.report.hillslope:delay",
    ),
    Entry(
        "field",
        "flow_exponent",
        "The exponent of celerity by flow, with its interval.",
        "rivergrad.report.flow:exponent",
    ),
)
"""Rivergrad's own parts of every kind, as they are listed."""
