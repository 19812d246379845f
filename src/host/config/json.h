/* The configuration as JSON. */
#ifndef TS_CONFIG_JSON_H
#define TS_CONFIG_JSON_H

#include <jansson.h>
#include "config/config.h"

/* An object of the sections, each an object of its keys with numbers, booleans, words and lists; the caller
 * owns *json. */
ts_status ts_config_json(const ts_config *config, json_t **json);

#endif
