/* Nothing: the services have no use for the type. */
