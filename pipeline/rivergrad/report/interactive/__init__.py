"""The data of the page to explore: reaches, fields, gauges and hydrographs, packed so that one file holds them."""
